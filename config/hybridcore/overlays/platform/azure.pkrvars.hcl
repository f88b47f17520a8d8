azure_client_secret = env("SWOOSH_AZURE_CLIENT_SECRET")
azure_location      = "westeurope"
