package ext

import (
	"slices"
	"strings"
)

// Instance is an extension while its options are read.
type Instance struct {
	Ext  Ext
	seen uint64 // bit i: option i of Def.Options was given
	arg  Arg    // of the last Set, here so that no option costs an allocation
}

// NewInstance begins reading an extension's options.
func NewInstance(d *Def, c *Context) *Instance { return &Instance{Ext: d.New(c.Family)} }

// Set takes one option; value and second are its arguments.
func (in *Instance) Set(c *Context, index int, not bool, value, second string) error {
	d := in.Ext.Def()
	o := &d.Options[index]
	a := &in.arg
	*a = Arg{Context: c, in: in, Ext: in.Ext, Option: o, Not: not, Value: value, Second: second}
	if not && !o.Not {
		return a.Errorf("cannot be inverted.")
	}
	if in.seen&(1<<index) != 0 && !o.Repeat {
		return a.Errorf("can only be used once.")
	}
	in.seen |= 1 << index
	return in.Ext.Set(a)
}

// Given reports whether an option was given.
func (in *Instance) Given(name string) bool {
	_, i := in.Ext.Def().Option(name)
	return i >= 0 && in.seen&(1<<i) != 0
}

// Finish checks the extension when all options were read.
func (in *Instance) Finish(c *Context) error {
	d := in.Ext.Def()
	for i := range d.Options {
		if err := in.finishOption(&d.Options[i], in.seen&(1<<i) != 0); err != nil {
			return err
		}
	}
	if err := in.finishAnyOf(d.AnyOf); err != nil {
		return err
	}
	if x, ok := in.Ext.(Checker); ok {
		c.in = in
		return x.Check(c)
	}
	return nil
}

// finishAnyOf asks for at least one of the options named, if any are.
func (in *Instance) finishAnyOf(names []string) error {
	if len(names) == 0 || slices.ContainsFunc(names, in.Given) {
		return nil
	}
	return Errorf(in.Ext, "needs one of the options --%s", strings.Join(names, ", --"))
}

func (in *Instance) finishOption(o *Option, given bool) error {
	if !given {
		if o.Required {
			return &Error{Ext: in.Ext.Name(), Option: o.Name, Msg: "must be specified"}
		}
		return nil
	}
	for _, other := range o.Excludes {
		if in.Given(other) {
			return &Error{Ext: in.Ext.Name(), Option: o.Name, Msg: "cannot be used together with \"--" + other + "\"."}
		}
	}
	for _, other := range o.Needs {
		if !in.Given(other) {
			return &Error{Ext: in.Ext.Name(), Option: o.Name, Msg: "also requires \"--" + other + "\"."}
		}
	}
	return nil
}

// Arguments is how many arguments follow the option: the words of Value.
func (o *Option) Arguments() int {
	if o.Value == "" {
		return 0
	}
	return 1 + strings.Count(o.Value, " ")
}
