"""Files of pictures, sound and video, opened in Python."""
