# Set by whoever runs packer, for each run.
variable "swoosh_output" {
  type        = string
  default     = "output"
  description = "The folder for what is built."
}

variable "swoosh_manifest" {
  type        = string
  default     = "output/manifest.json"
  description = "Where the manifest post-processor writes."
}

variable "swoosh_run" {
  type        = string
  default     = "none"
  description = "The run's id, which the manifest repeats."
}

# Whether Ansible provisions; it does unless it is turned off.
variable "ansible_enabled" {
  type    = bool
  default = true
}
