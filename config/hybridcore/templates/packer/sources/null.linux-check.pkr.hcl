source "null" "linux-check" {
  communicator = "none"
}
