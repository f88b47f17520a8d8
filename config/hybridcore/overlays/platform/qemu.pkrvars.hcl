# Give iso_url and iso_checksum of the installer that you trust, in an environment's overlay.
ssh_password = env("SWOOSH_BUILD_SSH_PASSWORD")
ssh_username = "builder"
