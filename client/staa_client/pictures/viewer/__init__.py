"""The page of a report: its data, the copy of the video that it plays, and its HTML, CSS and scripts."""
