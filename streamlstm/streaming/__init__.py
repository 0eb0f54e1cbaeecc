"""From records to outputs: decoding, columns, and the pipeline of one input partition."""
