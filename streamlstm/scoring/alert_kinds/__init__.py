"""The kinds of alerts: each says of a stream's samples what there is to follow. One file a kind."""
