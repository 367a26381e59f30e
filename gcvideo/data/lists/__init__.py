"""Lists of videos: their forms, their rows, their classes and their splits."""
