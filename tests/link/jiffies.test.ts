import { expect, test } from "vitest";
import { JIFFY, timerExpiry } from "../../src/link/jiffies.ts";

const ms = (n: number): number => n * 1_000_000;

test("a timer fires a tick late, a second's up to 32 ms, five seconds' up to 256 ms", () => {
  expect(timerExpiry(0, 0)).toBe(JIFFY);
  expect(timerExpiry(0, ms(10))).toBe(4 * JIFFY);
  expect(timerExpiry(0, ms(1000))).toBe(ms(1024));
  expect(timerExpiry(ms(1024), ms(1000))).toBe(ms(2048));
  expect(timerExpiry(ms(3), ms(5000))).toBe(ms(5120));
});

test("never early, and never later than its level's slot", () => {
  for (let delay = 0; delay < 3_000_000; delay += 977) {
    const now = ((delay * 31) % 1000) * 1_000_003;
    const late = timerExpiry(now, ms(delay)) - now - ms(delay);
    let slot = 1;
    while (Math.ceil(ms(delay) / JIFFY) >= 63 * slot) slot *= 8;
    expect(late > 0 && late <= (slot + 1) * JIFFY).toBe(true);
  }
});
