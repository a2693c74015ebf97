"""Real sentences, two or three of each language, and the encodings that files of that language come in."""

from __future__ import annotations

# ruff: noqa: RUF001 - letters of other scripts that look like ASCII are what this is about

SENTENCES: dict[str, str] = {
    "German": (
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
        "begabt und sollen einander im Geist der Brüderlichkeit begegnen. Für die Prüfung der Wasserstände im"
        " Frühjahr fährt Herr Müller täglich über die Brücke nach Köln; die Größe der Schäden weiß noch "
        "niemand."
    ),
    "French": (
        "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et"
        " de conscience et doivent agir les uns envers les autres dans un esprit de fraternité. L’été "
        "dernier, la société a réalisé un bénéfice élevé grâce à l’énergie hydraulique, où les coûts ont "
        "baissé."
    ),
    "Spanish": (
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón"
        " y conciencia, deben comportarse fraternalmente los unos con los otros. ¿Cuándo llegará el agua a la"
        " región? Mañana, según dijo el señor Núñez, habrá más información sobre la construcción."
    ),
    "Portuguese": (
        "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de "
        "consciência, devem agir uns para com os outros em espírito de fraternidade. A construção da usina "
        "não está concluída; a direção informou que haverá alterações até o mês de março."
    ),
    "Italian": (
        "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e "
        "di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza. La società è più "
        "grande perché la città ha già aumentato la quantità d'acqua; così il lunedì non c'è attività."
    ),
    "Swedish": (
        "Alla människor är födda fria och lika i värde och rättigheter. De är utrustade med förnuft och "
        "samvete och bör handla gentemot varandra i en anda av broderskap. På våren öppnas dammarna vid älven"
        " så att vattnet når fram till de största städerna."
    ),
    "Danish": (
        "Alle mennesker er født frie og lige i værdighed og rettigheder. De er udstyret med fornuft og "
        "samvittighed, og de bør handle mod hverandre i en broderskabets ånd. Når åen løber over, må søens "
        "vand føres væk gennem de gamle rør."
    ),
    "Finnish": (
        "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu "
        "järki ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä. Veden määrä järvissä"
        " nousee keväällä, jolloin sähköä myydään enemmän."
    ),
    "Icelandic": (
        "Hver maður er borinn frjáls og jafn öðrum að virðingu og réttindum. Menn eru gæddir vitsmunum og "
        "samvisku, og ber þeim að breyta bróðurlega hverjum við annan. Það er mikið vatn í ánni þegar "
        "snjórinn bráðnar."
    ),
    "Polish": (
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni "
        "rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa. Spółka zwiększyła sprzedaż"
        " energii, lecz część środków przeznaczyła na żądane zabezpieczenia."
    ),
    "Czech": (
        "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni rozumem a svědomím "
        "a mají spolu jednat v duchu bratrství. Příliš žluťoučký kůň úpěl ďábelské ódy, zatímco řeka u "
        "přehrady stoupala každý den výše."
    ),
    "Hungarian": (
        "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és "
        "lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek. A víz szintje"
        " tavasszal megnő, ezért az erőmű több áramot termel, mint ősszel."
    ),
    "Romanian": (
        "Toate fiinţele umane se nasc libere şi egale în demnitate şi în drepturi. Ele sunt înzestrate cu "
        "raţiune şi conştiinţă şi trebuie să se comporte unele faţă de altele în spiritul fraternităţii."
    ),
    "Croatian": (
        "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su obdarena razumom i "
        "sviješću i trebaju jedna prema drugima postupati u duhu bratstva. Tvrtka će uložiti više sredstava u"
        " čišćenje rijeka, što će građani podržati."
    ),
    "Russian": (
        "Все люди рождаются свободными и равными в своём достоинстве и правах. Они наделены разумом и "
        "совестью и должны поступать в отношении друг друга в духе братства. Уровень воды в реке растёт "
        "каждую весну, и станция вырабатывает больше электричества."
    ),
    "Ukrainian": (
        "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю"
        " і повинні діяти у відношенні один до одного в дусі братерства. Рівень води в річці щовесни зростає,"
        " і електростанція виробляє більше енергії."
    ),
    "Bulgarian": (
        "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум и съвест и "
        "следва да се отнасят помежду си в дух на братство. Нивото на водата в реката се повишава всяка "
        "пролет."
    ),
    "Greek": (
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
        "προικισμένοι με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα "
        "αδελφοσύνης. Η στάθμη του νερού ανεβαίνει κάθε άνοιξη."
    ),
    "Turkish": (
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve "
        "birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler. Şirket geçen yıl satışlarını "
        "artırdı, ancak giderler de yükseldiği için kâr değişmedi."
    ),
    "Hebrew": (
        "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם "
        "לנהוג איש ברעהו ברוח של אחווה. מפלס המים בנהר עולה בכל אביב, ותחנת הכוח מייצרת יותר חשמל."
    ),
    "Arabic": (
        "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا "
        "بروح الإخاء. يرتفع منسوب المياه في النهر كل ربيع، وتنتج المحطة المزيد من الكهرباء."
    ),
    "Lithuanian": (
        "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis. Jiems suteiktas protas ir sąžinė ir jie "
        "turi elgtis vienas kito atžvilgiu kaip broliai. Pavasarį vandens lygis upėje pakyla, todėl elektrinė"
        " pagamina daugiau energijos, šiemet – ypač."
    ),
    "Latvian": (
        "Visi cilvēki piedzimst brīvi un vienlīdzīgi savā pašcieņā un tiesībās. Viņi ir apveltīti ar saprātu "
        "un sirdsapziņu, un viņiem jāizturas citam pret citu brālības garā. Pavasarī ūdens līmenis upē "
        "paaugstinās."
    ),
    "Estonian": (
        "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt. Neile on antud mõistus "
        "ja südametunnistus ja nende suhtumist üksteisesse peab kandma vendluse vaim. Kevadel tõuseb jõe "
        "veetase, mistõttu jaam toodab rohkem elektrit."
    ),
    "Thai": (
        "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิ"
        "ทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แ"
        "ห่งภราดรภาพ ระดับน้ำในแม่น้ำสูงขึ้นทุกฤดูฝน"
    ),
    "Japanese": (
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、"
        "理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。春になると川の"
        "水位が上がり、発電所の出力が増える。"
    ),
    "Chinese": (
        "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。每年春"
        "天河水上涨，水电站的发电量也随之增加，公司因此提高了全年的利润。"
    ),
    "Taiwanese": (
        "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。每年春"
        "天河水上漲，水力發電廠的發電量也隨之增加，公司因此提高了全年的利潤。"
    ),
    "Korean": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
        "부여받았으며 서로 형제애의 정신으로 행동하여야 한다. 봄이 되면 강물이 불어나 발전소의 전력 생산이 "
        "늘어난다."
    ),
    "English": (
        "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
        "conscience and should act towards one another in a spirit of brotherhood – the café’s “résumé” costs"
        " €6 at 20 °C."
    ),
}
_WESTERN = ("cp1252", "iso8859-1", "iso8859-15", "mac_roman")
CODE_PAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "German",
            "French",
            "Spanish",
            "Portuguese",
            "Italian",
            "Swedish",
            "Danish",
            "Finnish",
            "Icelandic",
            "English",
        ),
        _WESTERN,
    ),
    **dict.fromkeys(("Polish", "Czech", "Hungarian", "Romanian", "Croatian"), ("cp1250", "iso8859-2")),
    "Russian": ("cp1251", "koi8-r", "iso8859-5", "cp866", "mac-cyrillic"),
    "Ukrainian": ("cp1251", "koi8-u"),
    "Bulgarian": ("cp1251", "iso8859-5"),
    "Greek": ("cp1253", "iso8859-7"),
    "Turkish": ("cp1254", "iso8859-9"),
    "Hebrew": ("cp1255", "iso8859-8"),
    "Arabic": ("cp1256", "iso8859-6"),
    "Lithuanian": ("cp1257", "iso8859-13"),
    "Latvian": ("cp1257", "iso8859-13", "iso8859-4"),
    "Estonian": ("cp1257", "iso8859-13", "iso8859-15"),
    "Thai": ("cp874", "tis-620"),
    "Japanese": ("shift_jis", "euc_jp", "iso2022_jp", "cp932"),
    "Chinese": ("gb18030", "gbk"),
    "Taiwanese": ("big5",),
    "Korean": ("euc_kr", "cp949", "iso2022_kr"),
}
UNICODE: tuple[str, ...] = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
)


def encodable(text: str, encoding: str) -> str:
    """`text` without the few characters that an encoding lacks: Latin-1 has no euro."""
    return "".join(character for character in text if character.encode(encoding, "ignore"))
