// Package ext holds one file per match or target: everything that Moat knows of
// it. A file reads like the extension's section of iptables-extensions(8): its
// options, its printed forms, its kernel bytes per revision (citing the UAPI
// header), and what it means for a packet.
//
// An extension is a Def, which describes it, and a Go type whose values are
// what a rule says: the Ext. Adding one touches one new file and its test:
// write the type, its Def, and an init function that calls register. Deleting
// the file deletes the extension.
//
// What an Ext has to do:
//
//	Name, Def       who it is
//	Set             take one option of the command line
//	Check           (optional, Checker) say what is missing at the end
//	Save, List      its two printed forms
//	Info, Read      (XT) its kernel struct, or
//	Encode          (Native) expressions of nf_tables instead; Def.Native reads them
//	Equal           (optional, Equaler) comparison; reflect.DeepEqual otherwise
//
// What iptables 1.8.9 makes of an extension's options stands row by row in
// testdata/ext/NAME.txt; rows_test.go describes the form. A new extension needs
// rows with its options, to which "go test -run TestDebian -update" writes the
// answers of Debian's program; all tests, fuzzing included, then cover it.
//
// Fields are in units that people use: ports in host order, netip addresses.
// What the kernel writes for itself into a struct is not a field, so that a
// rule that has been running equals the rule as it was written.
package ext
