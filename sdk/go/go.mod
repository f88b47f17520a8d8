module chorus.local/swoosh

go 1.19
