"""What the files in a run's folder are called."""

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"
