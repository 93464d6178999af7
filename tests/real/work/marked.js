// Renders the read-me files of five packages and a page of hard cases, with an extension of its own, made async.
(async () => {
  const hard = `
# Setext & *emphasis* \`code\`

Heading 2
---------
1. one
   - nested **bold _both_**
     > quote
     > - [x] done
     > - [ ] open
2) other list

| left | right | center |
|:-----|------:|:------:|
| a \\| b | \`x|y\` | **z** |
| only one |

\`\`\`js {1,3}
const a = "<&>";
\`\`\`

    indented code

[link](<with space> "title") ![image](a.png 'b') [ref][id] [id] <https://a.example/?q=1&r=2> www.example.com a@b.example
Hard break\\
and  
another ~~gone~~ &copy; &#35; \\* <kbd>raw</kbd> *un*balanced** __init__ snake_case_word

[id]: https://example.com/path "A title"
:star: and :no such:
***
<div>
*raw*
</div>
`;
  const headings = [];
  const renderer = {
    heading({ tokens, depth }) {
      const text = this.parser.parseInline(tokens);
      const slug = text
        .toLowerCase()
        .replace(/<[^>]*>/g, "")
        .replace(/[^\p{L}\d]+/gu, "-");
      headings.push(`${depth} ${slug}`);
      return `<h${depth} id="${slug}">${text}</h${depth}>\n`;
    },
  };
  const star = {
    name: "star",
    level: "inline",
    start: (text) => text.match(/:[a-z]/)?.index,
    tokenizer(text) {
      const match = /^:([a-z]+):/.exec(text);
      return match ? { type: "star", raw: match[0], icon: match[1] } : undefined;
    },
    renderer: (token) => `<i class="${token.icon}"></i>`,
  };
  const custom = new marked.Marked({
    gfm: true,
    async: true,
    renderer,
    extensions: [star],
    async walkTokens(token) {
      await new Promise((resolve) => queueMicrotask(resolve));
      if (token.type === "link") token.href = token.href.replace(/^http:/, "https:");
    },
    hooks: { postprocess: (html) => html.trimEnd() },
  });

  const pages = Object.entries(inputs);
  return {
    plain: pages.map(([name, text]) => [name, marked.parse(text)]),
    custom: await Promise.all([...pages.map(([, text]) => text), hard].map((text) => custom.parse(text))),
    headings,
    hard: [{}, { gfm: false }, { breaks: true }, { pedantic: true }].map((options) => marked.parse(hard, options)),
    inline: marked.parseInline("*a* `b` [c](d)"),
    tokens: JSON.parse(JSON.stringify(marked.lexer(hard))),
    long: marked.parse(
      "> ".repeat(40) + "deep\n\n" + "*a **b ".repeat(200) + "\n\n" + "[".repeat(300) + "\n\n" + "- x\n".repeat(300),
    ).length,
  };
})();
