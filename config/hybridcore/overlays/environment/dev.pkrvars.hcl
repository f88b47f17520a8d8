labels = {
  environment = "dev"
}
