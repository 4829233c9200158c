"""The API of SST Cloud: client, authentication, payloads, commands."""
