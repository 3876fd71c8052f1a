module railyard.dev/loadtests/peer

go 1.21
