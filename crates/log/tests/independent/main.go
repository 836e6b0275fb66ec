// A reader of C2SP tlog-tiles on top of Go's sumdb packages: it verifies the checkpoint, every entry
// against the tiles, an inclusion proof of every entry, and the given proofs and older checkpoints.
//
// usage: client LOG CASES VKEY...
// CASES holds NAME.tlog-proof with NAME.entry, and NAME.checkpoint.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// folder serves tiles of height 8 from the static files; Go's paths name the height.
type folder string

func (f folder) Height() int                               { return 8 }
func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := f.read(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), tile.W*tlog.HashSize)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// read falls back to the full tile when the partial one is gone.
func (f folder) read(path string, size int) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(f), path))
	if os.IsNotExist(err) {
		if i := strings.Index(path, ".p/"); i >= 0 {
			data, err = os.ReadFile(filepath.Join(string(f), path[:i]))
			if err == nil && size > 0 && len(data) > size {
				data = data[:size]
			}
		}
	}
	return data, err
}

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func demand(good bool, what string) {
	if !good {
		check(fmt.Errorf("not as it should be"), what)
	}
}

// head verifies a checkpoint and reads its tree.
func head(text []byte, known note.Verifiers, what string) tlog.Tree {
	opened, err := note.Open(text, known)
	check(err, what)
	lines := strings.Split(opened.Text, "\n")
	demand(len(lines) == 4 && lines[3] == "", what)
	demand(lines[0] == opened.Sigs[0].Name, what+": origin")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, what)
	hash, err := tlog.ParseHash(lines[2])
	check(err, what)
	return tlog.Tree{N: size, Hash: hash}
}

func main() {
	log, cases := folder(os.Args[1]), os.Args[2]
	var verifiers []note.Verifier
	for _, vkey := range os.Args[3:] {
		verifier, err := note.NewVerifier(vkey)
		check(err, "key")
		verifiers = append(verifiers, verifier)
	}
	known := note.VerifierList(verifiers...)

	text, err := os.ReadFile(filepath.Join(string(log), "checkpoint"))
	check(err, "checkpoint")
	tree := head(text, known, "checkpoint")
	reader := tlog.TileHashReader(tree, log)

	// Every entry of every bundle, with its hash in the tree and its inclusion proof.
	entries := int64(0)
	for first := int64(0); first < tree.N; first += 256 {
		width := tree.N - first
		tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: 256}
		if width < 256 {
			tile.W = int(width)
		}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		bundle, err := log.read(path, 0)
		check(err, path)
		for i := 0; i < tile.W; i++ {
			demand(len(bundle) >= 2, path)
			length := int(binary.BigEndian.Uint16(bundle))
			demand(len(bundle) >= 2+length, path)
			hash := tlog.RecordHash(bundle[2 : 2+length])
			bundle = bundle[2+length:]
			index := first + int64(i)
			held, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
			check(err, path)
			demand(held[0] == hash, path+": hash")
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			check(err, path)
			check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, hash), path)
			entries++
		}
		demand(len(bundle) == 0, path+": rest")
	}

	proofs := 0
	names, err := filepath.Glob(filepath.Join(cases, "*.tlog-proof"))
	check(err, "cases")
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err, name)
		entry, err := os.ReadFile(strings.TrimSuffix(name, ".tlog-proof") + ".entry")
		check(err, name)
		front := bytes.SplitN(text, []byte("\n\n"), 2)
		demand(len(front) == 2, name)
		lines := strings.Split(string(front[0]), "\n")
		demand(lines[0] == "c2sp.org/tlog-proof@v1", name)
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
		check(err, name)
		var proof tlog.RecordProof
		for _, line := range lines[2:] {
			data, err := base64.StdEncoding.DecodeString(line)
			check(err, name)
			var hash tlog.Hash
			demand(copy(hash[:], data) == len(data) && len(data) == tlog.HashSize, name)
			proof = append(proof, hash)
		}
		at := head(front[1], known, name)
		check(tlog.CheckRecord(proof, at.N, at.Hash, index, tlog.RecordHash(entry)), name)
		proofs++
	}

	checkpoints := 0
	names, err = filepath.Glob(filepath.Join(cases, "*.checkpoint"))
	check(err, "cases")
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err, name)
		old := head(text, known, name)
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		check(err, name)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), name)
		checkpoints++
	}
	demand(proofs > 0 && checkpoints > 0, "cases")
	fmt.Printf("%d entries, %d proofs, %d older checkpoints\n", entries, proofs, checkpoints)
}
