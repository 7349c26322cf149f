package debuginfo

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"
)

// An image is a vmlinux, read. It is large: of a distribution's kernel some
// hundred MB.
type image struct {
	dwarf   *dwarf.Data
	symbols map[string][]elf.Symbol
	starts  []uint64 // addresses of symbols, sorted
}

// A frame is a line of a function.
type frame struct {
	function, file string
	line           int
}

func open(path string) (*image, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	i := &image{symbols: map[string][]elf.Symbol{}}
	for _, s := range all {
		if !isCode(f, s) {
			continue
		}
		i.symbols[s.Name] = append(i.symbols[s.Name], s)
		i.starts = append(i.starts, s.Value)
	}
	slices.Sort(i.starts)
	if i.dwarf, err = f.DWARF(); err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	return i, nil
}

// isCode reports whether a symbol is one of those that the kernel itself knows:
// not a label of the compiler's or the assembler's.
func isCode(f *elf.File, s elf.Symbol) bool {
	t := elf.ST_TYPE(s.Info)
	return s.Name != "" && s.Name[0] != '.' && s.Name[0] != '$' && (t == elf.STT_FUNC || t == elf.STT_NOTYPE) &&
		int(s.Section) < len(f.Sections) && f.Sections[s.Section].Flags&elf.SHF_EXECINSTR != 0
}

// find is the address of a place. Several functions may have a name, and another
// kernel has others: those are meant that have the size. The kernel counts to the
// next symbol.
func (i *image) find(p place) (address uint64, ok bool) {
	for _, s := range i.symbols[p.function] {
		n, _ := slices.BinarySearch(i.starts, s.Value+1)
		if s.Size != p.size && (n == len(i.starts) || i.starts[n]-s.Value != p.size) {
			continue
		}
		if ok && s.Value != address {
			return 0, false // which of them, cannot be said
		}
		address, ok = s.Value, true
	}
	address += p.offset
	if p.after && p.offset > 0 {
		address--
	}
	return address, ok
}

// frames are the lines of a place, innermost first: those after the first are
// where the one before was inlined. There are none where it is not known.
func (i *image) frames(p place) []frame {
	pc, ok := i.find(p)
	if !ok {
		return nil
	}
	r := i.dwarf.Reader()
	unit, err := r.SeekPC(pc)
	if err != nil {
		return nil
	}
	lines, err := i.dwarf.LineReader(unit)
	if err != nil || lines == nil {
		return nil
	}
	at, ok := lineAt(lines, pc)
	if !ok {
		return nil
	}
	dir, _ := unit.Val(dwarf.AttrCompDir).(string)
	file := func(f *dwarf.LineFile) string { return relative(dir, f.Name) }
	var frames []frame
	here := frame{file: file(at.File), line: at.Line}
	for _, e := range slices.Backward(i.inlined(r, pc)) {
		here.function = i.name(e)
		frames = append(frames, here)
		n, _ := e.Val(dwarf.AttrCallFile).(int64)
		line, _ := e.Val(dwarf.AttrCallLine).(int64)
		files := lines.Files()
		if n < 0 || int(n) >= len(files) || files[n] == nil {
			return nil
		}
		here = frame{file: file(files[n]), line: int(line)}
	}
	here.function = p.function
	return append(frames, here)
}

// lineAt finds an address in a table of lines. Its parts, one for each section,
// are in any order, which LineReader.SeekPC does not expect.
func lineAt(lines *dwarf.LineReader, pc uint64) (at dwarf.LineEntry, ok bool) {
	at.EndSequence = true
	for {
		var next dwarf.LineEntry
		if err := lines.Next(&next); err != nil {
			return at, false
		}
		if !at.EndSequence && at.Address <= pc && pc < next.Address {
			return at, at.File != nil
		}
		at = next
	}
}

// inlined are the inlined calls around an address, outermost first. The reader is
// behind the entry of the address's unit.
func (i *image) inlined(r *dwarf.Reader, pc uint64) (calls []*dwarf.Entry) {
	for {
		e, err := r.Next()
		if err != nil || e == nil || e.Tag == 0 {
			return calls
		}
		switch e.Tag {
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine, dwarf.TagLexDwarfBlock:
			if !i.covers(e, pc) {
				break
			}
			if e.Tag == dwarf.TagInlinedSubroutine {
				calls = append(calls, e)
			}
			if !e.Children {
				return calls
			}
			continue // into it
		}
		r.SkipChildren()
	}
}

func (i *image) covers(e *dwarf.Entry, pc uint64) bool {
	ranges, err := i.dwarf.Ranges(e)
	return err == nil && slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] <= pc && pc < r[1] })
}

// name is that of a function, which may be written at the definition that it is an
// instance of.
func (i *image) name(e *dwarf.Entry) string {
	for range 4 { // at most: instance, definition, declaration
		if name, ok := e.Val(dwarf.AttrName).(string); ok {
			return name
		}
		from, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if from, ok = e.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				break
			}
		}
		r := i.dwarf.Reader()
		r.Seek(from)
		var err error
		if e, err = r.Next(); err != nil || e == nil {
			break
		}
	}
	return "a function"
}

// relative is a file's name as the kernel's tree has it, where it was compiled in
// the tree or in a directory in it.
func relative(dir, name string) string {
	if !path.IsAbs(dir) {
		return name
	}
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	for _, root := range []string{dir, path.Dir(dir)} {
		if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(root, "/")+"/"); ok {
			return rest
		}
	}
	return name
}
