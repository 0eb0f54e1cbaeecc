"""Records to samples, and the records that cannot be used to rejections."""
