"""A fake SST Cloud, with houses and devices that live."""
