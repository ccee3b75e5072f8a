"""Draws sheets, movies and reports. The modules load Pillow, so each is imported only when it is used."""
