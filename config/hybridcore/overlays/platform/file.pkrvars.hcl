labels = {
  medium = "file"
}
