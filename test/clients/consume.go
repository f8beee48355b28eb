package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	config := must(pgconn.ParseConfig(os.Args[1]))
	config.RuntimeParams["replication"] = "database"
	source := must(pgconn.ConnectConfig(ctx, config))
	target := must(pgx.Connect(ctx, os.Args[2]))
	apply := func(sql string, args ...any) { must(target.Exec(ctx, sql, args...)) }
	var confirmed pglogrepl.LSN
	confirm := func() {
		status := pglogrepl.StandbyStatusUpdate{WALWritePosition: confirmed}
		must(0, pglogrepl.SendStandbyStatusUpdate(ctx, source, status))
	}

	options := pglogrepl.StartReplicationOptions{PluginArgs: []string{"nested 'text'", "numbers 'string'"}}
	must(0, pglogrepl.StartReplication(ctx, source, "orders", 0, options))
	for {
		copied, ok := must(source.ReceiveMessage(ctx)).(*pgproto3.CopyData)
		if !ok {
			log.Fatal("the stream has ended")
		}
		if copied.Data[0] == pglogrepl.PrimaryKeepaliveMessageByteID {
			if must(pglogrepl.ParsePrimaryKeepaliveMessage(copied.Data[1:])).ReplyRequested {
				confirm()
			}
			continue
		}
		message := must(pglogrepl.ParseXLogData(copied.Data[1:]))
		record := struct {
			ID, Op        string
			Transactional *bool
		}{}
		must(0, json.Unmarshal(message.WALData, &record))
		if record.Op == "begin" {
			apply("BEGIN")
		}
		if record.ID != "" { // one that comes again changes nothing
			apply("INSERT INTO changes VALUES ($1, $2) ON CONFLICT DO NOTHING", record.ID, string(message.WALData))
		}
		if record.Op == "commit" {
			apply("COMMIT")
		}
		if record.Op == "commit" || record.Transactional != nil && !*record.Transactional {
			confirmed = message.WALStart // durable here, so the server may forget it
			confirm()
		}
	}
}
