// The peer of the interoperability tests: etcd's own client in Go, which takes and gives up locks and leaderships as it is told, a line
// an order and a line an answer.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// What is held by name, on one session.
type peer struct {
	session   *concurrency.Session
	mutexes   map[string]*concurrency.Mutex
	elections map[string]*concurrency.Election
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "peer:", err)
	os.Exit(1)
}

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("wants an endpoint and a TTL in seconds"))
	}
	ttl, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 5 * time.Second})
	if err != nil {
		fail(err)
	}
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl))
	if err != nil {
		fail(err)
	}
	p := &peer{session, map[string]*concurrency.Mutex{}, map[string]*concurrency.Election{}}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := p.obey(strings.Fields(lines.Text()))
		if err != nil {
			answer = "error " + err.Error()
		}
		fmt.Println(answer)
	}
	session.Close()
}

// obey carries out one order; a name stands for one mutex and one election.
func (p *peer) obey(words []string) (string, error) {
	if len(words) < 2 {
		return "", errors.New("no order")
	}
	ctx, name, rest := context.Background(), words[1], words[2:]
	mutex, ok := p.mutexes[name]
	if !ok {
		mutex = concurrency.NewMutex(p.session, name)
		p.mutexes[name] = mutex
	}
	election, ok := p.elections[name]
	if !ok {
		election = concurrency.NewElection(p.session, name)
		p.elections[name] = election
	}
	switch {
	case words[0] == "lock":
		if err := mutex.Lock(ctx); err != nil {
			return "", err
		}
		return fmt.Sprintf("locked %d", p.created(mutex.Key())), nil
	case words[0] == "try":
		err := mutex.TryLock(ctx)
		if errors.Is(err, concurrency.ErrLocked) {
			return "busy", nil
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("locked %d", p.created(mutex.Key())), nil
	case words[0] == "unlock":
		return "unlocked", mutex.Unlock(ctx)
	case words[0] == "owner":
		// By the comparison that a fenced transaction of the Go client makes.
		owned, err := p.session.Client().Txn(ctx).If(mutex.IsOwner()).Commit()
		if err != nil {
			return "", err
		}
		return fmt.Sprint(owned.Succeeded), nil
	case words[0] == "campaign" && len(rest) == 1:
		if err := election.Campaign(ctx, rest[0]); err != nil {
			return "", err
		}
		return fmt.Sprintf("leading %d", election.Rev()), nil
	case words[0] == "proclaim" && len(rest) == 1:
		return "proclaimed", election.Proclaim(ctx, rest[0])
	case words[0] == "resign":
		return "resigned", election.Resign(ctx)
	case words[0] == "leader":
		got, err := election.Leader(ctx)
		if errors.Is(err, concurrency.ErrElectionNoLeader) {
			return "nobody", nil
		}
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("leader %s %d", got.Kvs[0].Value, got.Kvs[0].CreateRevision), nil
	case words[0] == "observe" && len(rest) == 1:
		// Until it is this value.
		seen := 0
		watching, stop := context.WithCancel(ctx)
		defer stop()
		for got := range election.Observe(watching) {
			seen++
			if string(got.Kvs[0].Value) == rest[0] {
				return fmt.Sprintf("observed %d", seen), nil
			}
		}
		return "", errors.New("the observation has ended")
	case words[0] == "increment" && len(rest) == 2:
		times, err := strconv.Atoi(rest[1])
		if err != nil {
			return "", err
		}
		for i := 0; i < times; i++ {
			if err := p.increment(mutex, rest[0]); err != nil {
				return "", err
			}
		}
		return "done", nil
	}
	return "", fmt.Errorf("no such order: %q", words)
}

func (p *peer) created(key string) int64 {
	got, err := p.session.Client().Get(context.Background(), key)
	if err != nil || len(got.Kvs) == 0 {
		return 0
	}
	return got.Kvs[0].CreateRevision
}

// increment adds one to the number in the file, under the mutex alone.
func (p *peer) increment(mutex *concurrency.Mutex, file string) error {
	if err := mutex.Lock(context.Background()); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(number+1)), 0o600); err != nil {
		return err
	}
	return mutex.Unlock(context.Background())
}
