// Checks an export, or one proof, with golang.org/x/mod (sumdb/note, sumdb/tlog) and nothing of ours.
//
// usage: peer export FOLDER LOG_VKEY [WITNESS_VKEY]
//
//	peer proof FILE LOG_VKEY
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 4 {
		fail("usage: peer export|proof PATH LOG_VKEY [WITNESS_VKEY]")
	}
	var err error
	switch os.Args[1] {
	case "export":
		err = export(os.Args[2], os.Args[3], os.Args[4:])
	case "proof":
		err = proof(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("%q?", os.Args[1])
	}
	if err != nil {
		fail(err.Error())
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}

func open(signed []byte, vkey string) (tlog.Tree, *note.Note, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || !strings.HasPrefix(lines[0], verifier.Name()) {
		return tlog.Tree{}, nil, fmt.Errorf("no checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, nil, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, opened, err
}

// tiles reads C2SP tile paths, which leave out the height that x/mod writes.
type tiles struct{ folder string }

func (tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := ioutil.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", path, len(data))
		}
		all = append(all, data)
	}
	return all, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func export(folder, vkey string, witnesses []string) error {
	signed, err := ioutil.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	tree, opened, err := open(signed, vkey)
	if err != nil {
		return err
	}
	for _, witness := range witnesses {
		if err := cosigned(opened, witness); err != nil {
			return err
		}
	}
	reader := tlog.TileHashReader(tree, tiles{folder})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil || root != tree.Hash {
		return fmt.Errorf("the tiles do not give the root: %v", err)
	}
	for start := int64(0); start < tree.N; start += 256 {
		if err := bundle(folder, reader, start, tree.N); err != nil {
			return err
		}
	}
	fmt.Printf("%d records verified\n", tree.N)
	return nil
}

func bundle(folder string, reader tlog.HashReader, start, size int64) error {
	width := size - start
	if width > 256 {
		width = 256
	}
	tile := tlog.Tile{H: 8, L: 0, N: start / 256, W: int(width)}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := ioutil.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return err
	}
	for at := start; at < start+width; at++ {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("entry %d is cut off", at)
		}
		length := int(binary.BigEndian.Uint16(data))
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, at)})
		if err != nil {
			return err
		}
		if hashes[0] != tlog.RecordHash(data[2:2+length]) {
			return fmt.Errorf("entry %d is not the one in the tree", at)
		}
		data = data[2+length:]
	}
	if len(data) != 0 {
		return fmt.Errorf("%s has %d bytes too many", path, len(data))
	}
	return nil
}

// cosigned checks a C2SP tlog-cosignature; x/mod does not know its key type.
func cosigned(opened *note.Note, vkey string) error {
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return fmt.Errorf("%s is no witness's key", vkey)
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return err
	}
	for _, line := range opened.UnverifiedSigs {
		if line.Name != parts[0] || line.Hash != uint32(hash) {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(line.Base64)
		if err != nil || len(blob) != 4+8+ed25519.SignatureSize {
			return fmt.Errorf("the line of %s is no cosignature", line.Name)
		}
		message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(blob[4:]), opened.Text)
		if !ed25519.Verify(ed25519.PublicKey(key[1:]), []byte(message), blob[12:]) {
			return fmt.Errorf("the cosignature of %s does not fit", line.Name)
		}
		return nil
	}
	return fmt.Errorf("%s has not cosigned", parts[0])
}

func proof(path, vkey string) error {
	data, err := ioutil.ReadFile(path)
	if err != nil {
		return err
	}
	halves := bytes.SplitN(data, []byte("\n\n"), 2)
	if len(halves) != 2 {
		return fmt.Errorf("no empty line")
	}
	lines := strings.Split(string(halves[0]), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		return fmt.Errorf("no proof of a record")
	}
	record, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var inclusion tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		inclusion = append(inclusion, hash)
	}
	tree, _, err := open(halves[1], vkey)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(inclusion, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
		return err
	}
	fmt.Printf("record %d of %d verified\n", index, tree.N)
	return nil
}
