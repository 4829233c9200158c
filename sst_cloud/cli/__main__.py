"""`python -m sst_cloud.cli`."""

from . import main

main()
