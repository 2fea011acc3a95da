// Connects with Go's own TLS and says which key exchange came about.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	authority, err := os.ReadFile("ca.crt")
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair("client.crt", "client.key")
	if err != nil {
		panic(err)
	}
	connection, err := tls.Dial("tcp", os.Args[1], &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}})
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	state := connection.ConnectionState()
	fmt.Println(tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.CurveID)
}
