// src/link/jiffies.ts: when a Linux timer fires: in ticks, later for long ones (the timer wheel, kernel/time/timer.c).

/** One tick of the reference kernel (HZ 250), in ns. */
export const JIFFY = 4_000_000;

/** Each level of the wheel has 64 slots, each eight times as long as the level's before. */
const SLOTS = 64;
const LEVELS = 9;

/**
 * The time in ns at which a timer set now for `delay` ns fires. A tick is never cut short, and a timer of the outer levels
 * waits for its slot: one of a second fires up to 32 ms late, one of five seconds up to 256 ms.
 */
export function timerExpiry(now: number, delay: number): number {
  const jiffies = Math.floor(now / JIFFY);
  const delta = Math.ceil(delay / JIFFY);
  const expires = jiffies + delta;
  let slot = 1;
  for (let level = 1; level < LEVELS && delta >= (SLOTS - 1) * slot; level++) slot *= 8;
  return (Math.floor(expires / slot) + 1) * slot * JIFFY;
}
