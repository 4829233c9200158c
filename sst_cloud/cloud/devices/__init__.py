"""What each family of devices reports, one file per family."""
