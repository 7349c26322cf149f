// Hello is built in the guest.
package main

func main() { print("hello from a program built in the guest") }
