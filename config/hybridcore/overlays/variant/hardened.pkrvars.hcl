packages       = ["auditd", "ca-certificates", "openssh-server"]
puppet_enabled = true

labels = {
  profile = "hardened"
}
