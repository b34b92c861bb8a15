/** A worker thread of `bpflab explore --workers N`: runs the job that it is started with and posts its report. */
import { parentPort, workerData } from 'node:worker_threads';
import { BpflabError } from '../errors.js';
import { type ExploreJob, runJob } from './explore-job.js';

/** Schedules between two messages about progress. */
const EVERY = 16;

try {
  const report = runJob(workerData as ExploreJob, (schedules) => {
    if (schedules % EVERY === 0) parentPort?.postMessage({ schedules });
  });
  parentPort?.postMessage({ report });
} catch (error) {
  if (!(error instanceof BpflabError)) throw error;
  parentPort?.postMessage({ error: error.message });
}
