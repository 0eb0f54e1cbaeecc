"""What each file format holds, as one series a stream. One file a format."""
