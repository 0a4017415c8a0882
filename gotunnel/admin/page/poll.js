// When to ask: often while somebody looks, seldom while the page is in the background, and more and more seldom while
// nobody answers. Never two requests at a time.

const SEEN = 2000; // milliseconds between an answer and the next question
const UNSEEN = 20_000;
const DEAR = 10; // an answer that took long is asked for after so many times as long
const DEAREST = 10_000;
const PATIENCE = [2000, 4000, 8000, 15_000];

export class Poll {
  /** `look()` asks and returns whether it was answered. */
  constructor(look) {
    this.look = look;
    this.failures = 0;
    this.timer = null;
    this.busy = false;
    this.due = 0;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.now();
      else if (this.timer !== null) this.#plan();
    });
  }

  /** Ask now; what was asked before and is on its way will do. */
  async now() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    this.timer = null;
    const began = performance.now();
    const answered = await this.look();
    this.took = performance.now() - began;
    this.failures = answered ? 0 : this.failures + 1;
    this.busy = false;
    this.#plan();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  #plan() {
    clearTimeout(this.timer);
    let pause = document.hidden ? UNSEEN : Math.max(SEEN, Math.min(DEAREST, DEAR * (this.took ?? 0)));
    if (this.failures > 0) pause = Math.max(pause, PATIENCE[Math.min(this.failures, PATIENCE.length) - 1]);
    this.due = Date.now() + pause;
    this.timer = setTimeout(() => this.now(), pause);
  }
}
