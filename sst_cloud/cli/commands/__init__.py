"""The commands of `sst-cloud`, one file each."""
