"""What a GPU computes faster, proven equal before its first use."""
