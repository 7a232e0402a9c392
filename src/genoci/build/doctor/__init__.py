"""What this machine can and cannot do, found out by trying each thing in a process of its own."""
