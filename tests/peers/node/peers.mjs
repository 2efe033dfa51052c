// Measures an item and a poll of BullMQ. A poll reads the job from Redis and writes it as JSON,
// without a web framework and without a socket to the client. Prints
// `figure | value | limit | ratio`: medians of the rounds.
//
// Run it with `cargo xtask bench --peers`, which installs `package-lock.json` and starts the Redis
// server of the variable REDIS_URL.

import assert from 'node:assert';
import { createRequire } from 'node:module';
import { Job, Queue } from 'bullmq';
import IORedis from 'ioredis';

const ROUNDS = process.argv.includes('--quick') ? 5 : 15;
const CALLS = 1_000;

const connection = new IORedis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const queue = new Queue('peers', { connection });
const job = await queue.add('job', {});

const rows = {
    'BullMQ, an item: `await updateProgress(n)`, Redis': async number => {
        await job.updateProgress(number);
    },
    'BullMQ, a poll: `Job.fromId` as JSON, Redis': async () => {
        return JSON.stringify(await Job.fromId(queue, job.id));
    },
};

function median(values) {
    return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const times = Object.keys(rows).map(() => []);
for (let round = 0; round < ROUNDS; round++) {
    for (const [index, call] of Object.values(rows).entries()) {
        const begun = performance.now();
        for (let number = 1; number <= CALLS; number++) await call(number);
        times[index].push((performance.now() - begun) / CALLS);
    }
}
assert.equal((await Job.fromId(queue, job.id)).progress, CALLS);
for (const [index, name] of Object.keys(rows).entries()) {
    console.log(`${name} | ${(median(times[index]) * 1_000).toFixed(0)} us | - | -`);
}
console.log(`version | Node | ${process.versions.node}`);
console.log(`version | BullMQ | ${createRequire(import.meta.url)('bullmq/package.json').version}`);
console.log(`version | Redis | ${/redis_version:(\S+)/.exec(await connection.info())[1]}`);
await queue.close();
await connection.quit();
