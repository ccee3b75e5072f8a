"""Shows answers: in words and pictures on a terminal, and as a folder of reports."""
