// The tooltip beside the pointer.

const box = document.getElementById("tip");

/** Show a text near a point of the window. */
export function showTip(text, x, y) {
  box.textContent = text;
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(6, x + 12), window.innerWidth - width - 6);
  const above = y + 22 + height > window.innerHeight;
  box.style.left = `${left}px`;
  box.style.top = `${above ? Math.max(6, y - height - 12) : y + 20}px`;
}

/** Hide it. */
export function hideTip() {
  box.hidden = true;
}
