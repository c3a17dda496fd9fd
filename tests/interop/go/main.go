// What mautrix-go (with its own pure-Go olm, goolm) makes of a key export file,
// and a key backup that mautrix-go's code encrypted.
//
//	import FILE PASSPHRASE   what the crypto store holds afterwards
//	backup KEYS              the body of PUT /room_keys/keys, and what is in it
//	export KEYS PASSPHRASE   a key export file
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/backup"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

const user, device = id.UserID("@mautrix:interop.invalid"), id.DeviceID("GOOLM")

// The rooms, by what mautrix derives the flag from: absent, true, false.
var rooms = []id.RoomID{"!unknown:interop.invalid", "!shared:interop.invalid", "!joined:interop.invalid"}

type kept struct {
	RoomID    id.RoomID    `json:"room_id"`
	SessionID id.SessionID `json:"session_id"`
	First     uint32       `json:"first_known_index"`
	Shared    *bool        `json:"shared_history"` // three states
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

// The homeserver: nobody is in the rooms, so all there is to send is empty.
type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func newMachine(ctx context.Context) (*crypto.OlmMachine, *crypto.MemoryStore) {
	store := crypto.NewMemoryStore(nil)
	state := mautrix.NewMemoryStateStore().(*mautrix.MemoryStateStore)
	state.HistoryVisibility[rooms[1]] = &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityShared}
	state.HistoryVisibility[rooms[2]] = &event.HistoryVisibilityEventContent{HistoryVisibility: event.HistoryVisibilityJoined}
	client := must(mautrix.NewClient("http://interop.invalid", user, "none"))
	client.DeviceID, client.Client = device, &http.Client{Transport: nobody{}}
	machine := crypto.NewOlmMachine(client, nil, store, state)
	check(machine.Load(ctx))
	return machine, store
}

func holds(ctx context.Context, store *crypto.MemoryStore) []kept {
	list := []kept{}
	for _, session := range must(store.GetAllGroupSessions(ctx).AsList()) {
		list = append(list, kept{session.RoomID, session.ID(), session.Internal.FirstKnownIndex(), session.SharedHistory})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].SessionID < list[j].SessionID })
	return list
}

// Makes sessions as for sending, a quarter of them known from a later message only.
func create(ctx context.Context, machine *crypto.OlmMachine, keys int) {
	for i := range keys {
		room := rooms[i%len(rooms)]
		check(machine.ShareGroupSession(ctx, room, nil))
		outbound := must(machine.CryptoStore.GetOutboundGroupSession(ctx, room))
		check(machine.CryptoStore.RemoveOutboundGroupSession(ctx, room))
		if i%4 == 3 {
			inbound := must(machine.CryptoStore.GetGroupSession(ctx, room, outbound.ID()))
			check(inbound.RatchetTo(uint32(i * 7)))
			check(machine.CryptoStore.PutGroupSession(ctx, inbound))
		}
	}
}

func makeBackup(ctx context.Context, machine *crypto.OlmMachine, store *crypto.MemoryStore) any {
	key := must(backup.NewMegolmBackupKey())
	auth := backup.MegolmAuthData{PublicKey: id.Ed25519(base64.RawStdEncoding.EncodeToString(key.PublicKey().Bytes()))}
	auth.Signatures = signatures.NewSingleSignature(user, "ed25519", string(device), must(machine.GetAccount().SignJSON(auth)))
	body := mautrix.ReqKeyBackup{Rooms: map[id.RoomID]mautrix.ReqRoomKeyBackup{}}
	for _, session := range must(store.GetGroupSessionsWithoutKeyBackupVersion(ctx, "1").AsList()) {
		first := session.Internal.FirstKnownIndex()
		data := must(backup.EncryptSessionData(key, backup.MegolmSessionData{
			Algorithm:          id.AlgorithmMegolmV1,
			ForwardingKeyChain: session.ForwardingChains,
			SenderClaimedKeys:  backup.SenderClaimedKeys{Ed25519: session.SigningKey},
			SenderKey:          session.SenderKey,
			SessionKey:         string(must(session.Internal.Export(first))),
			SharedHistory:      session.SharedHistory,
		}))
		if body.Rooms[session.RoomID].Sessions == nil {
			body.Rooms[session.RoomID] = mautrix.ReqRoomKeyBackup{Sessions: map[id.SessionID]mautrix.ReqKeyBackupData{}}
		}
		body.Rooms[session.RoomID].Sessions[session.ID()] = mautrix.ReqKeyBackupData{
			FirstMessageIndex: int(first),
			ForwardedCount:    len(session.ForwardingChains),
			IsVerified:        session.KeySource == id.KeySourceDirect,
			SessionData:       must(json.Marshal(data)),
		}
	}
	return map[string]any{
		"auth_data": auth, "decryption_key": base64.StdEncoding.EncodeToString(key.Bytes()),
		"rooms": body.Rooms, "expected": holds(ctx, store),
	}
}

func main() {
	ctx := context.Background()
	machine, store := newMachine(ctx)
	out := json.NewEncoder(os.Stdout)
	switch args := append(os.Args[1:], "", "", ""); args[0] {
	case "import":
		count, total, err := machine.ImportKeys(ctx, args[2], must(os.ReadFile(args[1])))
		check(err)
		fmt.Fprintf(os.Stderr, "mautrix says: imported %d of %d\n", count, total)
		check(out.Encode(holds(ctx, store)))
	case "backup":
		create(ctx, machine, must(strconv.Atoi(args[1])))
		check(out.Encode(makeBackup(ctx, machine, store)))
	case "export":
		create(ctx, machine, must(strconv.Atoi(args[1])))
		fmt.Print(string(must(crypto.ExportKeys(args[2], must(store.GetAllGroupSessions(ctx).AsList())))))
	default:
		check(errors.New("usage: interop import FILE PASSPHRASE | backup KEYS | export KEYS PASSPHRASE"))
	}
}
