"""AnimalWeb in little: one to six images of each of the 352 animals, unpacked: the authors pack it as rar."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files
from tools.miniatures.pen import Pen

ANIMALS = tuple(
    """aardvark aardwolf addax adeliepenguin africanpenguin africanwilddog agilewallaby agouti alaskanhare
    alaskanmalamute alpaca alpineibex amurleopard amurtiger anatolianshepherddog animal anoa anteater arcticfox
    arcticwolf armadillo asiangoldencat asianpalmcivet australiancattledog australiansealion australianshepherd
    australianterrier ayeaye babirusa badger baikalseal balinesecat bamboolemur bandedmongoose bandedpalmcivet
    bandicoot banteng barbarymacaque barbarysheep bear beardedseal beatingmongoose beaver bengalslowloris bharal
    bighornsheep bilby binturong bison blackandwhiteruffedlemar blackbackedjackal blackbuck blackfootedcat
    blackrhino blueeyedblacklemur bluemonkey boar bobcat bolognesedog bongo bonobo bordercollie borneanslowloris
    brownhyena brownrat brushtailedrockwallaby buffalo bull bullmastif bushbaby bushbuck cacomistle caiman
    californiansealion camel canadianlynx capebuffalo capefox capegraymongoose capuchinmonkey capybara caracal
    caribou centralchimpanzee chamois cheetah chihuahua chinesegoral chinstrappenguin chipmunk chital chowchow
    cloudedleopard coatis collaredbrownlemur collaredpeccary colo colobus commonbrownlemur commonchimpanzee
    commondwarfmongoose commongenet commonkusimanse commonwarthog corsacfox cottonrat cougar coypu crabeaterseal
    crestedpenguin crownedlemur cservalserval dachshund dallsheep dalmatian dassie debrazzasmonkey deer deermouse
    degu dhole dikdik dingo doberman domesticcat domesticdog donkey dormouse douclangur dugong duiker dunnart
    easternchimpanzee easternlesserbamboolemur echidna elk emperorpenguin ethiopianwolf eurasianlynx fallowdeer
    fennecfox feralcat feralcattle feralgoat feralhorse ferret fieldmouse fishingcat flyingsquirrel fox
    francoislangur frenchbulldog galagos galapagossealion geladababoon gentoopenguin geoffroyscat gerbil gerenuk
    germanpinscher germanshepherddog gharial giantotter giantschnauzer gibbons giraffe goat goldenbamboolemur
    goldenjackal goldenlangur goldenretriever goodfellowstreekangaroo gorilla grayfox graywolf greatdane
    greaterbamboolemur greylangur greyseal grizzlybear guanaco guineapig gundi hamadryasbaboon hamster harbourseal
    hare harpseal hartebeest harvestmouse hawaiianmonkseal hedgehog hippopotamus hogdeer hoodedseal horse howler
    humboldtpenguin husky hyrax indri irishwolfhound italiangreyhound jackrabbit jaguar jaguarundi japanesemacaque
    japaneseserow junglecat kangaroo kiang kingpenguin kinkajou klipspringer koala komondor kultarr
    largespottedgenet lemur leopard leopardcat leopardseal liger lionpd littlebluepenguin longnosedmongoose
    lumholtzstreekangaroo lutung magellanicpenguin mangabey mareebarockwallaby margay marmoset marshmongoose
    matschiestreekangaroo medraneanmonkseal mexicanwolf monkey monte mouflon muntjacdeer muriqui muskox nightmonkey
    nilgai northernelephantseal ocelot olingos olivebaboon onager oncilla opossum orangutan oribi oryx
    owstonspalmcivet pademelon pallascat panda pantanalcat pardinegenet parmawallaby patagonianmara patasmonkey
    pekingesedog platypus possum potoroo potto proboscismonkey przewalskihorse pygmyrabbit pygmyslowloris quokka
    quoll raccoon redbelliedsquirrel redneckedwallaby redpanda redruffedlemur redtailmonkey reedbuck rhesusmonkey
    rhinoceros ribbonseal ringtail roanantelope roedeer ruddymongoose rustyspottedcat rustyspottedgenet saluki
    sandcat servalinegenet sharpesgrysbok slendermongoose smallasianmongoose snowleopard southernelephantseal
    spidermonkey spottedhyena spottedneckedotter spottedseal steinbucksteenbok stripedhyena stripeneckedmongoose
    sundaslowloris suni swamprabbit swampwallaby swiftfox tamarin tammarwallaby tarsiers tasmaniandevil titi topi
    toquemacaque treeshrew uakari uc urial vervetmonkey visayanwartypig viverratangalungamalayancivet vole wallaroo
    walrus wapiti waterbuck weasel weddellseal westernchimpanzee westernlesserbamboolemur whiptailwallaby
    whiteheadedlemur whitetaileddeer whitewolf wildass wildcat wildebeest wisent wolverine wombat woodchuck
    woollymonkey yak yelloweyedpenguin yellowfootedrockwallaby zebra zebu zonkey""".split()  # noqa: SIM905
)


def write(folder: Path, pen: Pen) -> None:
    """animal_dataset_v1_clean_check/ANIMAL_NUMBER.jpg, each with its nine landmarks in a text."""
    content = {}
    for place, animal in enumerate(ANIMALS):
        for number in range(1, 7 if place < 2 else 3 if place % 8 == 0 else 2):
            name = f"animal_dataset_v1_clean_check/{animal}_{number}"
            content[f"{name}.jpg"] = pen.encoded("all", animal, size=(20, 16))
            points = "\n".join(f"{point}.5 {point}.25" for point in range(9))
            content[f"{name}.pts"] = f"version: 1\nn_points: 9\n{{\n{points}\n}}\n".encode()
    write_files(folder, content)
