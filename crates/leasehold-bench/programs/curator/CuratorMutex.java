import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.retry.RetryOneTime;

/**
 * Curator's InterProcessMutex, as the benchmark measures it: a line in, a line out, as src/peers/program.rs says. Each contender has a
 * client and a thread of its own.
 *
 * <pre>CuratorMutex ENDPOINT</pre>
 */
public final class CuratorMutex {
    /** So often a lock is taken and given up before anything is measured, so that the methods are compiled well. */
    private static final int WARM = 12_000;

    private final String endpoint;
    private final List<CuratorFramework> clients = new ArrayList<>();
    // Its threads stay, so that what they have counted does.
    private final ExecutorService threads = Executors.newCachedThreadPool();

    private CuratorMutex(String endpoint) {
        this.endpoint = endpoint;
    }

    public static void main(String[] arguments) throws Exception {
        CuratorMutex contest = new CuratorMutex(arguments[0]);
        contest.prepare(2);
        contest.uncontended(WARM / 2);
        for (long done = 0; done < WARM; ) {
            done += contest.contend(2, 0.5)[2];
        }
        Properties made = new Properties();
        made.load(InterProcessMutex.class.getResourceAsStream(
                "/META-INF/maven/org.apache.curator/curator-recipes/pom.properties"));
        System.out.println("ready " + made.getProperty("version"));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            StringJoiner answer = new StringJoiner(" ").add("done");
            for (long number : contest.obey(line.split(" "))) {
                answer.add(Long.toString(number));
            }
            System.out.println(answer);
        }
        System.exit(0);
    }

    private long[] obey(String[] words) throws Exception {
        int number = Integer.parseInt(words[1]);
        switch (words[0]) {
            case "uncontended":
                return uncontended(number);
            case "prepare":
                prepare(number);
                return new long[0];
            case "contend":
                return contend(number, Double.parseDouble(words[2]));
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private void prepare(int contenders) throws Exception {
        while (clients.size() < contenders) {
            CuratorFramework client =
                    CuratorFrameworkFactory.newClient(endpoint, 30_000, 10_000, new RetryOneTime(100));
            client.start();
            if (!client.blockUntilConnected(20, TimeUnit.SECONDS)) {
                throw new IllegalStateException("not connected to " + endpoint);
            }
            clients.add(client);
        }
    }

    private long[] uncontended(int rounds) throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(clients.get(0), "/curator/alone");
        long before = wakeUps();
        long began = System.nanoTime();
        for (int i = 0; i < rounds; i++) {
            mutex.acquire();
            mutex.release();
        }
        return new long[] {System.nanoTime() - began, wakeUps() - before};
    }

    private long[] contend(int contenders, double seconds) throws Exception {
        Contention contention = new Contention(contenders);
        long before = wakeUps();
        List<Future<?>> ends = new ArrayList<>();
        for (int number = 0; number < contenders; number++) {
            InterProcessMutex mutex = new InterProcessMutex(clients.get(number), "/curator/of-" + contenders);
            int own = number;
            ends.add(threads.submit(() -> {
                contention.work(mutex, own);
                return null;
            }));
        }
        contention.ready.await();
        long began = System.nanoTime();
        contention.counts = true;
        contention.start.countDown();
        Thread.sleep(Math.round(seconds * 1000));
        contention.counts = false;
        long took = System.nanoTime() - began;
        contention.stop = true;
        for (Future<?> end : ends) {
            end.get();
        }
        return contention.told(took, wakeUps() - before);
    }

    /** How often threads have gone to sleep of their own accord so far. */
    private static long wakeUps() throws IOException {
        long sum = 0;
        try (DirectoryStream<Path> tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
            for (Path task : tasks) {
                try {
                    for (String line : Files.readAllLines(task.resolve("status"))) {
                        if (line.startsWith("voluntary_ctxt_switches:")) {
                            sum += Long.parseLong(line.substring(line.indexOf(':') + 1).trim());
                        }
                    }
                } catch (NoSuchFileException ended) {
                    continue;
                }
            }
        }
        return sum;
    }

    /** What the contenders of one lock have got. */
    private static final class Contention {
        final CountDownLatch ready;
        final CountDownLatch start = new CountDownLatch(1);
        volatile boolean counts;
        volatile boolean stop;
        private final long[] grants;
        private final List<Long> waits = new ArrayList<>();
        private int last = -1;
        private long changes;
        private long acquisitions;

        Contention(int contenders) {
            ready = new CountDownLatch(contenders);
            grants = new long[contenders];
        }

        void work(InterProcessMutex mutex, int number) throws Exception {
            once(mutex, number);
            ready.countDown();
            start.await();
            while (!stop) {
                once(mutex, number);
            }
        }

        private void once(InterProcessMutex mutex, int number) throws Exception {
            long asked = System.nanoTime();
            mutex.acquire();
            enter(number, System.nanoTime() - asked);
            mutex.release();
        }

        private synchronized void enter(int number, long waited) {
            acquisitions++;
            if (counts) {
                grants[number]++;
                waits.add(waited);
                if (last >= 0 && last != number) {
                    changes++;
                }
                last = number;
            }
        }

        synchronized long[] told(long took, long wakeUps) {
            waits.sort(null);
            long[] told = new long[6 + grants.length];
            told[0] = took;
            told[1] = changes;
            told[2] = acquisitions;
            told[3] = wakeUps;
            told[4] = rank(50);
            told[5] = rank(99);
            System.arraycopy(grants, 0, told, 6, grants.length);
            return told;
        }

        private long rank(int hundredths) {
            return waits.isEmpty() ? 0 : waits.get(waits.size() * hundredths / 100);
        }
    }
}
