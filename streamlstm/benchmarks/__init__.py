"""Speed on this machine, beside the peers that are installed: workloads, paired timing, reports; and accuracy."""
