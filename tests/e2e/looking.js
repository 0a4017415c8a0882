// What a person who sees badly, or who cannot use a mouse, would find wrong with the page as it is now; a list of lines.
() => {
  const found = [];
  const name = (element) => `${element.tagName.toLowerCase()}#${element.id}.${element.className?.baseVal ?? element.className}`;
  const visible = (element) => element.checkVisibility({ checkVisibilityCSS: true }) && element.getClientRects().length > 0;

  // Contrast: text against the ground that it stands on.
  const colour = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const { rgb, alpha } = colour(getComputedStyle(each).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  let texts = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !visible(element) || element.closest(".unseen, .skip, option, noscript")) continue;
    const style = getComputedStyle(element);
    const front = colour(element.namespaceURI.endsWith("svg") ? style.fill : style.color).rgb;
    const [light, dark] = [luminance(front), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    texts += 1;
    if (ratio < (large ? 3 : 4.5)) found.push(`contrast ${ratio.toFixed(2)}: ${name(element)} ${element.textContent.slice(0, 30)}`);
  }
  if (texts < 5) found.push(`only ${texts} texts were looked at`);

  // Names: of what can be used, and of pictures.
  for (const element of document.querySelectorAll("input, select, textarea, button, a[href], img, svg[role], dialog, section")) {
    if (!visible(element)) continue;
    const by = (element.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "").join("");
    const labels = [...(element.labels ?? [])].map((label) => label.textContent).join("");
    const text = element.matches("button, a") ? element.textContent : "";
    if (element.tagName === "IMG" ? !element.hasAttribute("alt") : !(element.getAttribute("aria-label") || by || labels || text).trim())
      found.push(`no name: ${name(element)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids.filter((each, index) => ids.indexOf(each) !== index)) found.push(`twice: #${id}`);
  for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]"))
    for (const id of ["aria-labelledby", "aria-describedby", "for"].map((each) => element.getAttribute(each)).filter(Boolean))
      if (!document.getElementById(id)) found.push(`points to nothing: ${name(element)} ${id}`);

  // The order of headings, the language, the title, room for fingers, and nothing that sticks out.
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter(visible).map((each) => Number(each.tagName[1]));
  if (levels[0] !== 1 || levels.some((level, index) => index && level > levels[index - 1] + 1)) found.push(`headings: ${levels}`);
  if (!document.documentElement.lang || !document.title) found.push("no language or no title");
  for (const element of document.querySelectorAll("button, select, input, summary"))
    if (visible(element) && element.getBoundingClientRect().height < 24) found.push(`too small: ${name(element)}`);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) found.push(`${wide} pixels stick out`);
  for (const element of document.querySelectorAll("[style], [onclick], [tabindex]:not([tabindex='0'], [tabindex='-1'])"))
    found.push(`inline: ${name(element)}`);
  return found;
}
