"""Shows a timeline as a page and as a movie; its modules load Pillow, and are imported one by one."""
