"""One loop that trains every network: resumable, reproducible, bounded in what it forgives."""
