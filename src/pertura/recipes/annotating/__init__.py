"""What `pertura annotate` does: reads and checks, compares strategies, labels, writes and reports."""
