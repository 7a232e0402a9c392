"""What genoci costs, beside others at the same job, in one run on one machine: `make bench`."""
