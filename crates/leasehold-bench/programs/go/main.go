// The Mutex of etcd's own client in Go, as the benchmark measures it: a line in, a line out, as src/peers/program.rs says. Each contender
// has a client and a session of its own.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

type contest struct {
	endpoint string
	sessions []*concurrency.Session
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "go-mutex:", err)
	os.Exit(1)
}

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("wants an endpoint"))
	}
	c := &contest{endpoint: os.Args[1]}
	c.prepare(1)
	fmt.Println("ready", version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 2 && words[0] == "uncontended":
			fmt.Println("done", numbers(c.uncontended(count(words[1]))))
		case len(words) == 2 && words[0] == "prepare":
			c.prepare(count(words[1]))
			fmt.Println("done")
		case len(words) == 3 && words[0] == "contend":
			seconds, err := strconv.ParseFloat(words[2], 64)
			if err != nil {
				fail(err)
			}
			fmt.Println("done", numbers(c.contend(count(words[1]), time.Duration(seconds*float64(time.Second)))))
		default:
			fail(fmt.Errorf("no such order: %q", words))
		}
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == "go.etcd.io/etcd/client/v3" {
			return module.Version
		}
	}
	return ""
}

func count(word string) int {
	number, err := strconv.Atoi(word)
	if err != nil {
		fail(err)
	}
	return number
}

func numbers(values []int64) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = strconv.FormatInt(value, 10)
	}
	return strings.Join(texts, " ")
}

func wakeUps() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return int64(usage.Nvcsw)
}

func (c *contest) prepare(contenders int) {
	for len(c.sessions) < contenders {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.endpoint}, DialTimeout: 5 * time.Second})
		if err != nil {
			fail(err)
		}
		session, err := concurrency.NewSession(client, concurrency.WithTTL(15))
		if err != nil {
			fail(err)
		}
		c.sessions = append(c.sessions, session)
	}
}

func (c *contest) once(mutex *concurrency.Mutex, inside func()) {
	if err := mutex.Lock(context.Background()); err != nil {
		fail(err)
	}
	inside()
	if err := mutex.Unlock(context.Background()); err != nil {
		fail(err)
	}
}

func (c *contest) uncontended(rounds int) []int64 {
	alone := concurrency.NewMutex(c.sessions[0], "/go/alone")
	before, began := wakeUps(), time.Now()
	for i := 0; i < rounds; i++ {
		c.once(alone, func() {})
	}
	return []int64{int64(time.Since(began)), wakeUps() - before}
}

func (c *contest) contend(contenders int, span time.Duration) []int64 {
	var ready, done sync.WaitGroup
	var counts, stop atomic.Bool
	// What is written under the lock needs no other.
	var changes, acquisitions int64
	last, grants, waits := -1, make([]int64, contenders), []int64{}
	start, before := make(chan struct{}), wakeUps()
	ready.Add(contenders)
	done.Add(contenders)
	for number := 0; number < contenders; number++ {
		mutex := concurrency.NewMutex(c.sessions[number], fmt.Sprintf("/go/of-%d", contenders))
		go func() {
			defer done.Done()
			once := func() {
				asked := time.Now()
				c.once(mutex, func() {
					acquisitions++
					if counts.Load() {
						grants[number]++
						waits = append(waits, int64(time.Since(asked)))
						if last >= 0 && last != number {
							changes++
						}
						last = number
					}
				})
			}
			once()
			ready.Done()
			<-start
			for !stop.Load() {
				once()
			}
		}()
	}
	ready.Wait()
	began := time.Now()
	counts.Store(true)
	close(start)
	time.Sleep(span)
	counts.Store(false)
	took := time.Since(began)
	stop.Store(true)
	done.Wait()
	slices.Sort(waits)
	rank := func(hundredths int) int64 {
		if len(waits) == 0 {
			return 0
		}
		return waits[len(waits)*hundredths/100]
	}
	told := []int64{int64(took), changes, acquisitions, wakeUps() - before, rank(50), rank(99)}
	return append(told, grants...)
}
