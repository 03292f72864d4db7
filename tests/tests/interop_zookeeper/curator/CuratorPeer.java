import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.Participant;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.retry.RetryOneTime;

/**
 * A program that uses Curator's recipes, and does what the lines of its standard input say: a line in, a line out.
 *
 * <pre>CuratorPeer ENDPOINT SESSION-TIMEOUT-MS</pre>
 */
public final class CuratorPeer {
    private final CuratorFramework client;
    private final Map<String, InterProcessLock> locks = new HashMap<>();
    private final Map<String, InterProcessReadWriteLock> readWriteLocks = new HashMap<>();
    private LeaderLatch latch;

    private CuratorPeer(CuratorFramework client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(
                arguments[0], Integer.parseInt(arguments[1]), 10_000, new RetryOneTime(100));
        client.start();
        if (!client.blockUntilConnected(20, TimeUnit.SECONDS)) {
            throw new IllegalStateException("not connected to " + arguments[0]);
        }
        CuratorPeer peer = new CuratorPeer(client);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        Properties made = new Properties();
        made.load(InterProcessMutex.class.getResourceAsStream(
                "/META-INF/maven/org.apache.curator/curator-recipes/pom.properties"));
        System.out.println("ready " + made.getProperty("version"));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = peer.obey(line.split(" "));
            } catch (Exception error) {
                answer = error.toString().replace('\n', ' ');
            }
            System.out.println(answer);
        }
        // What it holds goes with its session, as of a program that ends.
        System.exit(0);
    }

    private String obey(String[] words) throws Exception {
        switch (words[0]) {
            case "acquire":
                return acquire(lock(words[1], words[2]), Long.parseLong(words[3]));
            case "release":
                lock(words[1], words[2]).release();
                return "released";
            case "increment":
                return increment(lock(words[1], words[2]), Path.of(words[3]), Integer.parseInt(words[4]));
            case "crowd":
                return crowd(lock(words[1], words[2]), Path.of(words[3]), Integer.parseInt(words[4]));
            case "stand":
                latch = new LeaderLatch(client, words[1], words[2]);
                latch.start();
                return "standing";
            case "lead":
                return latch.await(Long.parseLong(words[1]), TimeUnit.MILLISECONDS) ? "leading" : "waiting";
            case "leader":
                return latch.getLeader().getId();
            case "participants":
                StringJoiner ids = new StringJoiner(" ");
                for (Participant participant : latch.getParticipants()) {
                    ids.add(participant.getId());
                }
                return ids.toString();
            case "resign":
                latch.close();
                return "resigned";
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    /** Its locks are re-entrant, and count: each is one object. */
    private InterProcessLock lock(String kind, String path) {
        return locks.computeIfAbsent(kind + path, made -> {
            switch (kind) {
                case "mutex":
                    return new InterProcessMutex(client, path);
                case "read":
                    return readWriteLock(path).readLock();
                case "write":
                    return readWriteLock(path).writeLock();
                case "semaphore-1":
                    return new Permits(new InterProcessSemaphoreV2(client, path, 1));
                case "semaphore-3":
                    return new Permits(new InterProcessSemaphoreV2(client, path, 3));
                default:
                    throw new IllegalArgumentException(kind);
            }
        });
    }

    private InterProcessReadWriteLock readWriteLock(String path) {
        return readWriteLocks.computeIfAbsent(path, made -> new InterProcessReadWriteLock(client, made));
    }

    private static String acquire(InterProcessLock lock, long patience) throws Exception {
        return lock.acquire(patience, TimeUnit.MILLISECONDS) ? "got" : "busy";
    }

    /** Adds 1 to the number in a file, each time under the lock, by a read and a write apart. */
    private static String increment(InterProcessLock lock, Path file, int times) throws Exception {
        for (int i = 0; i < times; i++) {
            lock.acquire();
            try {
                int number = Integer.parseInt(Files.readString(file));
                Thread.yield();
                Files.writeString(file, Integer.toString(number + 1));
            } finally {
                lock.release();
            }
        }
        return "incremented";
    }

    /** Puts a file into a directory each time it holds, and says how many it has seen there at most. The first time it waits for three. */
    private static String crowd(InterProcessLock lock, Path directory, int times) throws Exception {
        int most = 0;
        for (int i = 0; i < times; i++) {
            lock.acquire();
            try {
                Path file = Files.createTempFile(directory, "curator", "");
                do {
                    most = Math.max(most, directory.toFile().list().length);
                    Thread.sleep(2);
                } while (i == 0 && most < 3);
                Files.delete(file);
            } finally {
                lock.release();
            }
        }
        return "crowded " + most;
    }

    /** A semaphore as a lock: a permit with each acquisition, of which the last one acquired is released first. */
    private static final class Permits implements InterProcessLock {
        private final InterProcessSemaphoreV2 semaphore;
        private final Deque<Lease> leases = new ArrayDeque<>();

        private Permits(InterProcessSemaphoreV2 semaphore) {
            this.semaphore = semaphore;
        }

        @Override
        public void acquire() throws Exception {
            leases.push(semaphore.acquire());
        }

        @Override
        public boolean acquire(long time, TimeUnit unit) throws Exception {
            Lease lease = semaphore.acquire(time, unit);
            if (lease != null) {
                leases.push(lease);
            }
            return lease != null;
        }

        @Override
        public void release() {
            semaphore.returnLease(leases.pop());
        }

        @Override
        public boolean isAcquiredInThisProcess() {
            return !leases.isEmpty();
        }
    }
}
