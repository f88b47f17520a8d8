disk_gib   = 8
memory_mib = 1024
packages   = []
